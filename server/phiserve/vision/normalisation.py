"""The mean and deviation that pixels are normalised with, in red, green, blue on a scale of 0 to 1.

Source: `preprocessor_config.json` of microsoft/Phi-3-vision-128k-instruct; they are CLIP's.
"""

IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)
