"""The Chat tab: a conversation with one variant, whose earlier versions stay within reach."""
