"""From heatmaps to boxes, and from boxes to figures: how well latents localise findings.

Everything here is in the model input's frame; IoU is the same in the source frame. Definitions: Mammo-SAE (published
threshold 0.95 quantile, released code 0.3 of the maximum), PASCAL VOC (all-point average precision, greedy matching).
"""
