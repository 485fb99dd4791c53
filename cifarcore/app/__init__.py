"""The Streamlit app: layout alone."""
