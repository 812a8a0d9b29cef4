"""Pull requests and issues of a GitHub repository, from its REST API or from JSON that `gh` saved, to rows."""
