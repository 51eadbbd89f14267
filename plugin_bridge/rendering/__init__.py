"""Sessions as audio: clips, tracks, buses, the mix, block by block."""
