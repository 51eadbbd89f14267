"""Many jobs: here, on local workers, on a cluster; each ends once, whatever is killed on the way."""
