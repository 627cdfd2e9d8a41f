"""SIP: messages, SDP, digest, transactions, registrar, exchange, and the phone.

Import from the modules: each is one noun of RFC 3261. What is written without I/O (``grammar``, ``uri``,
``message``, ``sdp``, ``digest``, ``transaction``) loads neither Twisted nor pyVoIP.
"""
