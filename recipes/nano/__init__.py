"""How the embedded model was made: what it learns, its training, quantisation, evaluation and card."""
