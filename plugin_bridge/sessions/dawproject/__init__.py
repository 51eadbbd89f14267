"""DAWproject, the exchange format of Bitwig, Studio One, Cubase and others: schema, reading, writing."""
