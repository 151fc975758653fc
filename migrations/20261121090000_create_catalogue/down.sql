DROP TABLE show_streams, show_seats, shows, movies, seats, screens, theaters, cities;
