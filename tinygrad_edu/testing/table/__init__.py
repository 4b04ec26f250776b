"""The rows of the table of cases, by kind of op. `tinygrad_edu.testing.cases` puts them together."""
