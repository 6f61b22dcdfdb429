"""Where weights come from and how they are checked before anything reads them."""
