"""From a compiled circuit and its recordings to a report: numbers, then figures, then a page.

``read`` is the one module that opens circuits and recordings. ``structure``, ``activity`` and ``omissions``
turn values into numbers and nothing else; ``figures`` draws numbers; ``report`` puts both on a page. Nothing
here starts a simulator or MPI.
"""
