"""A Hyperledger Fabric network from a topology: configuration, native processes, channels and chaincode."""
