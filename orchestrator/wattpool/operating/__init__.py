"""What an operator and a member do by command, day to day."""
