"""The comparison app: pages over saved run files. It imports neither torch, torchvision nor umap."""
