"""Who answers a model call: the keyless reader and the scripted model."""
