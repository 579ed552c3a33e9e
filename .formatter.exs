[inputs: ["{mix,.formatter}.exs", "{bench,bin,config,lib,test}/**/*.{ex,exs}"], line_length: 120]
