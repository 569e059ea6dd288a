"""`lbtransport simulate`: what each strategy would do with a fleet like yours.

    command     runs it: settings in, table and picture out
    settings    what the user wants, from options and from a file
    grammar     servers, service times and faults as texts
    table       the figures of each strategy, for terminals and for pipes
    plot        the same as a picture, with matplotlib

The simulator itself is `lbtransport.testing.simulate`.
"""
