"""Classic machine learning in plain NumPy, one file a method, will live here.

This page is the folder's plugin face: its estimators will be registered here (`register_estimators`).
"""
