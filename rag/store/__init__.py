"""The only SQL: tables, transactions, and one file of reads and writes for each thing that is kept."""
