"""Every setting, its default, its unit and its check.

One module an area: `data`, `features`, `network`, `language_layers`, `tasks`, `training`, `decoding`, `study`.
`recipe.Recipe` holds them all, `recipe_file` reads it. Field name = argument name of the class that `run.build` makes =
key in the YAML file.
"""
