"""Training over the one definition of the model: from nothing, over documents packed behind shared prefixes."""
