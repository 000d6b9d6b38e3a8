"""What Mixin writes and reads, as pure functions: no socket, no clock, no chance.

ids · amounts · keys · addresses · transactions · selection · tokens · login · tip · links ·
invoices · memos · messages. Everything that comes from outside is judged by ``Malformed``.
"""
