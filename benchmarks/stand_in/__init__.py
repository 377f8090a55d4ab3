"""On the path of processes that run the model repository's code where the real torchvision does not import. See `torchvision`."""
