"""Cases made by running other people's programs, and the runners that hold ours against them.

``python -m tests.vectors hufi FILE --json`` runs every case of a file of that form.
"""
