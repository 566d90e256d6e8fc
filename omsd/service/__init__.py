"""What callers may ask; both APIs call this room and hold no rules of their own."""
