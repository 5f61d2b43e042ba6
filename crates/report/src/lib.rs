//! Tables, plots and the comparison with the paper's numbers, from artifacts alone.
