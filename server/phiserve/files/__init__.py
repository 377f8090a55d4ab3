"""Files that clients upload: their bytes, on a disk or in a bucket, and what is known of them in the store.

Knows owners, limits and time, not what is in a file, and no wire format.
"""
