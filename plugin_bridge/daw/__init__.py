"""DAWs at work for this program, and this program inside DAWs: their renderers, scripts for their menus."""
