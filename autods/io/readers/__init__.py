"""One module a movie format; `autods.io.movie.open_movie` chooses among them."""
