"""The index over offers: clustered and searched by faiss (extra `index`)."""
