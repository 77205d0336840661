"""How the keyless model reads: text to sentences, words to terms, a question to its parts, documents to evidence."""
