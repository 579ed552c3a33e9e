[inputs: ["mix.exs", "{config,fixtures,lib,test}/**/*.{ex,exs}"], line_length: 120]
