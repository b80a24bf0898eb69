"""The same job written with other libraries, as their documentation shows, and what each costs beside ours."""
