"""What stands between the network and the handlers: bodies and values that no page of ours would post."""
