DROP TABLE logouts;
