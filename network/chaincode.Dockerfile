# The chaincode of a community as a service. Built from the top of the repository:
#   docker build -f network/chaincode.Dockerfile -t wattpool-chaincode:1 .
FROM python:3.13-slim
COPY chaincode /build
RUN pip install --no-cache-dir /build/fabric_shim "/build/wattpool_chaincode[fabric]" && rm -r /build
USER 1000
# The compose file adds the name of the chaincode, and in the environment its package id and address.
ENTRYPOINT ["python", "-m", "wattpool_chaincode.fabric"]
