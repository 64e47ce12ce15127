"""Frames to and from clients, over trio-websocket."""
