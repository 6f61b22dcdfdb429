"""What to paste into a program: calls of this server's endpoints, and the same weights without Paddock."""
