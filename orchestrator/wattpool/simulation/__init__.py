"""Simulated communities: profiles of homes and a description of who they are, driven through the live market cycle."""
