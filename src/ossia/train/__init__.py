"""Training over the one definition of the model.

packing     documents of one step, behind prefixes that they share
train_ops   the operations for training from nothing
parameters  the tensors of a new model
muon        the optimiser of matrices
trainer     the loop, resumable at any step
curve       the loss as a picture
"""
