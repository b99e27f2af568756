"""What people judge: queues, items that wait, reviews, blind preferences, and what is gathered from them."""
