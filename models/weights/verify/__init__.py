"""Is what lies here safe, whole, and what it says it is?"""
