"""The live side: the registry (what is declared to run) and the ledger (what was decided and ran).

Ports in ``base``, the values they pass in ``records``, adapters beside them.
"""
