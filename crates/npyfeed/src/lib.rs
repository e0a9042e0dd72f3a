//! Feeds NumPy files to neural networks: datasets and loaders of .npy files
