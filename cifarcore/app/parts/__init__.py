"""What several pages share: sidebar, galleries, cards, dialogs."""
