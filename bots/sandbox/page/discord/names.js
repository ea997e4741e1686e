// Names of commands, options and choices as a person's client shows them. What it sends are the default ones.

// "modell" for a German client, "model" for one whose language the bot does not speak.
export function localName(definition, person) {
  return definition.name_localizations?.[person.locale] ?? definition.name;
}

export function localDescription(definition, person) {
  return definition.description_localizations?.[person.locale] ?? definition.description;
}
