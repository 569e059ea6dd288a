"""`lbtransport demo`: real servers, real clients, one death, nobody notices.

    scenario    runs it: what happens when, and whether it ended well
    timeline    the one who knows what comes next; pure
    fleet       the servers, each a process: started, killed, started again
    server      what such a process runs
    traffic     three clients, and the tally of what they got
    journal     the balancer's events, in words
    frame       one instant of it all, as a value
    summary     all of it, in the end
    plain       shows frames as lines of text
    screen      shows frames on a terminal, with rich

It is a program that uses lbtransport, written against the public face alone; nothing of
it is part of the library.
Everything happens on loopback.
"""
