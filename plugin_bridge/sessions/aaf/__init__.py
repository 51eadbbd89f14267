"""AAF files of Pro Tools, Media Composer, Resolve, Premiere and others, by pyaaf2 in a child process."""
